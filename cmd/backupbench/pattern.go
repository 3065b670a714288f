package main

import (
	"math/rand/v2"
	"sync"
)

// pattern is what exports are made of, again and again: bytes that look random, as those of
// archives and images do.
var pattern = sync.OnceValue(func() []byte {
	p := make([]byte, mib)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p) // it never fails
	return p
})

// pieces calls do with the bytes of the pattern from offset on until left bytes were given, or
// with an error of do.
func pieces(offset, left int64, do func([]byte) error) error {
	p := pattern()
	for left > 0 {
		piece := p[offset%mib:]
		piece = piece[:min(left, int64(len(piece)))]
		if err := do(piece); err != nil {
			return err
		}
		offset, left = offset+int64(len(piece)), left-int64(len(piece))
	}
	return nil
}
