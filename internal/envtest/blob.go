package envtest

import (
	"context"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// Azurite returns the connection string of the Azurite that all tests of this test binary share,
// started when the first one asks.
func Azurite(t testing.TB) string {
	t.Helper()
	return services.azurite.get(t)
}

// AzuriteContainer returns a new, empty container on the shared Azurite, deleted when the test ends.
func AzuriteContainer(t testing.TB) *container.Client {
	t.Helper()
	c, err := container.NewClientFromConnectionString(Azurite(t), randomName("test"), nil)
	if err != nil {
		t.Fatal("read Azurite's connection string: it is not one") // the reason could quote its key
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminPatience)
	defer cancel()
	if _, err := c.Create(ctx, nil); err != nil {
		t.Fatalf("create container: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminPatience)
		defer cancel()
		if _, err := c.Delete(ctx, nil); err != nil {
			t.Errorf("delete container: %v", err)
		}
	})
	return c
}
