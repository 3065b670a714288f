//go:build race

package httpapi_test

// raceDetector takes several times the memory that it looks at.
const raceDetector = true
