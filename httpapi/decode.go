package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sitebackup/sitebackup/backup"
)

// decodeStart reads the members one by one, so that each bad one is named.
func decodeStart(data []byte) (backup.StartParams, error) {
	var req StartRequest
	o, err := readObject(data)
	if err != nil {
		return backup.StartParams{}, err
	}
	o.required("userId", &req.UserID)
	o.required("siteId", &req.SiteID)
	o.optional("providers", &req.Providers, "must be an array of strings")
	o.optional("labels", &req.Labels, "must be an object of strings")
	o.optional("continueOnFailure", &req.ContinueOnFailure, "must be a boolean")
	o.optional("sizeLimit", &req.SizeLimit, "must be a whole number of bytes")
	o.optional("ifActive", &req.IfActive, "must be start, join or reject")
	if err := o.end(); err != nil {
		return backup.StartParams{}, err
	}
	return backup.StartParams{
		UserID: req.UserID, SiteID: req.SiteID, Providers: req.Providers,
		Labels: req.Labels, ContinueOnFailure: req.ContinueOnFailure,
		MaxSize: req.SizeLimit, IfActive: backup.IfActive(req.IfActive),
	}, nil
}

// object is a JSON object whose members are being read.
type object struct {
	within  string // the members that it is in, each with a dot behind it
	members map[string]json.RawMessage
	bad     []FieldError
}

func readObject(data []byte) (*object, error) {
	o := &object{}
	err := json.Unmarshal(data, &o.members)
	var mistyped *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &mistyped), err == nil && o.members == nil:
		return nil, validationProblem(FieldError{"body", "must be an object"})
	case errors.As(err, &syntax):
		return nil, newProblem(CodeInvalidRequest, fmt.Sprintf("The body is not valid JSON: %s, at byte %d.", syntax, syntax.Offset))
	case err != nil:
		return nil, newProblem(CodeInvalidRequest, "The body is not valid JSON.")
	}
	return o, nil
}

func (o *object) fail(member, rule string) {
	o.bad = append(o.bad, FieldError{"body." + o.within + member, rule})
}

// required reads a text that has to be there.
func (o *object) required(member string, to *string) {
	if raw, ok := o.members[member]; !ok || isNull(raw) {
		delete(o.members, member)
		o.fail(member, "is required")
		return
	}
	o.optional(member, to, "must be a string")
}

// optional leaves to as it is when the member is missing or null.
func (o *object) optional(member string, to any, rule string) {
	raw, ok := o.members[member]
	delete(o.members, member)
	if !ok || isNull(raw) {
		return
	}
	if err := json.Unmarshal(raw, to); err != nil || hasNull(to, raw) {
		o.fail(member, rule)
	}
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(raw, []byte("null")) }

// hasNull finds a null among the strings of an array or object: encoding/json
// would make an empty string of it.
func hasNull(to any, raw json.RawMessage) bool {
	switch to.(type) {
	case *[]string:
		var items []*string
		_ = json.Unmarshal(raw, &items) // it worked before
		return slices.Contains(items, nil)
	case *map[string]string:
		var items map[string]*string
		_ = json.Unmarshal(raw, &items)
		return slices.Contains(slices.Collect(maps.Values(items)), nil)
	}
	return false
}

// refuseUnknown refuses the members that nobody asked for.
func (o *object) refuseUnknown() {
	for _, member := range slices.Sorted(maps.Keys(o.members)) {
		o.fail(member, "is not known")
	}
}

// end says what is wrong with the object, if anything is.
func (o *object) end() error {
	o.refuseUnknown()
	if len(o.bad) > 0 {
		return validationProblem(o.bad...)
	}
	return nil
}
