package envtest

import "os"

// settings are what the variables of a test run say.
type settings struct {
	databaseURL   string // BACKUP_TEST_DATABASE_URL
	azurite       string // BACKUP_TEST_AZURITE
	postgresImage string // BACKUP_TEST_POSTGRES_IMAGE
	azuriteImage  string // BACKUP_TEST_AZURITE_IMAGE
	docker        string // BACKUP_TEST_DOCKER: "1" only Docker, "0" never, "" where an engine answers
	noSkip        bool   // BACKUP_TEST_NO_SKIP=1
}

func readSettings() settings {
	return settings{
		databaseURL:   os.Getenv("BACKUP_TEST_DATABASE_URL"),
		azurite:       os.Getenv("BACKUP_TEST_AZURITE"),
		postgresImage: valueOr("BACKUP_TEST_POSTGRES_IMAGE", "postgres:17-alpine"),
		azuriteImage:  valueOr("BACKUP_TEST_AZURITE_IMAGE", "mcr.microsoft.com/azure-storage/azurite:3.37.0"),
		docker:        os.Getenv("BACKUP_TEST_DOCKER"),
		noSkip:        os.Getenv("BACKUP_TEST_NO_SKIP") == "1",
	}
}

func valueOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
