package env

import (
	"context"
	"crypto/rand"
)

// startContainer runs Postgres in a container. While the image sets itself up, its server listens on
// no port, so the first connection is the real one's.
func (o *PostgresOptions) startContainer(ctx context.Context) (*Postgres, error) {
	password := rand.Text()
	at := func(addr string) string { return postgresURL(addr, password) }
	r, err := runContainer(ctx, container{
		name: "postgres", image: o.Image, port: "5432",
		env:     []string{"POSTGRES_USER=" + clusterUser, "POSTGRES_PASSWORD=" + password, "POSTGRES_DB=postgres"},
		command: append([]string{"docker-entrypoint.sh", "postgres"}, o.containerSettings()...),
	}, o.Log, func(ctx context.Context, addr string) error { return pingPostgres(ctx, at(addr)) })
	if err != nil {
		return nil, err
	}
	return &Postgres{URL: at(r.addr), Source: "the container image " + o.Image, stopper: stopper{stop: r.stop}}, nil
}

func (o *PostgresOptions) containerSettings() []string {
	if o.Fast {
		return FastPostgresArguments()
	}
	return asArguments(smallSettings)
}
