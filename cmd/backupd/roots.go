package main

import (
	_ "time/tzdata" // time zones, for images that have none

	_ "golang.org/x/crypto/x509roots/fallback" // roots of trust, for images that have none
)
