package blobtest

import "io"

// damaged is a body with a flipped byte, or one that breaks off.
type damaged struct {
	io.ReadCloser
	at        int64 // offset in the object of the next byte
	flip, cut int64
}

func (d *damaged) Read(p []byte) (int, error) {
	if d.cut >= 0 {
		if d.at >= d.cut {
			return 0, io.ErrUnexpectedEOF
		}
		p = p[:min(int64(len(p)), d.cut-d.at)]
	}
	n, err := d.ReadCloser.Read(p)
	if i := d.flip - d.at; d.flip >= 0 && i >= 0 && i < int64(n) {
		p[i] ^= 1
	}
	d.at += int64(n)
	return n, err
}
