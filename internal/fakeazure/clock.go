package fakeazure

import "time"

func systemTime() time.Time { return time.Now().UTC() }
