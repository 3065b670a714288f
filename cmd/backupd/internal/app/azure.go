package app

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// azureReason is what Azure says in one line. The SDK's text is a page, with the
// URL and, in it, the signature of a SAS.
func azureReason(err error) error {
	var response *azcore.ResponseError
	if errors.As(err, &response) {
		return fmt.Errorf("the service answered %d %s", response.StatusCode, response.ErrorCode)
	}
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}
