package fakeazure

import (
	"encoding/xml"
	"net/http"
)

// failure is an answer that isn't a success.
type failure struct {
	status  int
	code    string // one of Azure's
	message string
}

var (
	errNotImplemented = &failure{http.StatusNotImplemented, "FeatureNotSupportedByFake", "The fake doesn't know this operation."}
	errNoContent      = &failure{http.StatusNotImplemented, "FeatureNotSupportedByFake", "The fake keeps no content."}

	errContainerNotFound = &failure{http.StatusNotFound, "ContainerNotFound", "The specified container does not exist."}
	errContainerExists   = &failure{http.StatusConflict, "ContainerAlreadyExists", "The specified container already exists."}
	errBlobNotFound      = &failure{http.StatusNotFound, "BlobNotFound", "The specified blob does not exist."}
	errBlobExists        = &failure{http.StatusConflict, "BlobAlreadyExists", "The specified blob already exists."}
	errCondition         = &failure{http.StatusPreconditionFailed, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met."}
	errNotModified       = &failure{http.StatusNotModified, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met."}
	errRange             = &failure{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The range specified is invalid for the current size of the resource."}

	errLength          = &failure{http.StatusLengthRequired, "MissingContentLengthHeader", "The Content-Length header was not specified."}
	errBody            = &failure{http.StatusBadRequest, "InvalidInput", "The request body is too short, or the connection broke."}
	errCRC             = &failure{http.StatusBadRequest, "Crc64Mismatch", "The CRC64 value specified in the request did not match with the CRC64 value calculated by the server."}
	errMD5             = &failure{http.StatusBadRequest, "Md5Mismatch", "The MD5 value specified in the request did not match with the MD5 value calculated by the server."}
	errBadCRC          = &failure{http.StatusBadRequest, "InvalidHeaderValue", "x-ms-content-crc64 is not the base64 of 8 bytes."}
	errBadMD5          = &failure{http.StatusBadRequest, "InvalidMd5", "The MD5 value specified in the request is invalid."}
	errTwoChecksums    = &failure{http.StatusBadRequest, "InvalidHeaderValue", "Only one of Content-MD5 and x-ms-content-crc64 may be given."}
	errBlobType        = &failure{http.StatusBadRequest, "InvalidHeaderValue", "The fake has block blobs only."}
	errEmptyBlock      = &failure{http.StatusBadRequest, "InvalidHeaderValue", "A block must have at least one byte."}
	errBlockID         = &failure{http.StatusBadRequest, "InvalidQueryParameterValue", "The block id is not the base64 of 1 to 64 bytes."}
	errBlockIDLength   = &failure{http.StatusBadRequest, "InvalidBlobOrBlock", "The specified blob or block content is invalid."}
	errTooManyBlocks   = &failure{http.StatusConflict, "BlockCountExceedsLimit", "The uncommitted block count cannot exceed the maximum limit of 100,000 blocks."}
	errBlockTooLarge   = &failure{http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "The request body is too large and exceeds the maximum permissible limit."}
	errBlockList       = &failure{http.StatusBadRequest, "InvalidBlockList", "The specified block list is invalid."}
	errBlockListLong   = &failure{http.StatusBadRequest, "BlockListTooLong", "The block list may not contain more than 50,000 blocks."}
	errXML             = &failure{http.StatusBadRequest, "InvalidXmlDocument", "The specified XML is not syntactically valid."}
	errQuery           = &failure{http.StatusBadRequest, "InvalidQueryParameterValue", "A query parameter has a value that it can't have."}
	errUnknownListName = &failure{http.StatusBadRequest, "InvalidXmlNodeValue", "A block list has elements Latest, Uncommitted and Committed."}
)

func (f *failure) write(w http.ResponseWriter, r *request) {
	w.Header().Set("X-Ms-Error-Code", f.code)
	if f.status == http.StatusNotModified || r.Method == http.MethodHead {
		w.WriteHeader(f.status)
		return
	}
	writeXML(w, f.status, &struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: f.code, Message: f.message + "\nRequestId:" + r.id})
}

// writeXML answers with a document.
func writeXML(w http.ResponseWriter, status int, doc any) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(xml.Header)) // nobody is there to read it if it fails
	_ = xml.NewEncoder(w).Encode(doc)
}
