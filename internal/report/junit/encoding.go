package junit

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

const sniffSize = 1024

// toUTF8 gives r as UTF-8 without byte order mark, and the name of the encoding
// it was in: by its byte order mark, by the shape of its first characters, or as
// its XML declaration says. An encoding that nobody knows is read as UTF-8.
// skipped is the number of bytes of a UTF-8 mark, which offsets have to count.
func toUTF8(r io.Reader) (out io.Reader, name string, skipped int64, err error) {
	br := bufio.NewReaderSize(r, sniffSize)
	head, err := br.Peek(sniffSize)
	if err != nil && len(head) == 0 && err != io.EOF {
		return nil, "", 0, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
		_, err := br.Discard(3)
		return br, "utf-8", 3, err
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), bytes.HasPrefix(head, []byte("<\x00")):
		return decoded(br, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "utf-16le")
	case bytes.HasPrefix(head, []byte("\xFE\xFF")), bytes.HasPrefix(head, []byte("\x00<")):
		return decoded(br, unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "utf-16be")
	}
	name = declaredEncoding(head)
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return br, "utf-8", 0, nil
	}
	if enc := known(name); enc != nil {
		return decoded(br, enc, name)
	}
	return br, "utf-8", 0, nil
}

// known is the encoding of a name, nil if nobody knows it, or if what begins
// with readable characters cannot be in it.
func known(name string) encoding.Encoding {
	enc, err := ianaindex.IANA.Encoding(name)
	if err != nil || strings.HasPrefix(name, "utf-16") || strings.HasPrefix(name, "utf-32") {
		return nil
	}
	return enc
}

func decoded(r io.Reader, enc encoding.Encoding, name string) (io.Reader, string, int64, error) {
	return enc.NewDecoder().Reader(r), name, 0, nil
}

// declaredEncoding is what the XML declaration says, in lower case; "" = nothing.
func declaredEncoding(head []byte) string {
	start := bytes.Index(head, []byte("<?xml"))
	if start < 0 {
		return ""
	}
	end := bytes.Index(head[start:], []byte("?>"))
	if end < 0 {
		return ""
	}
	attrs := head[start+len("<?xml") : start+end]
	for {
		attrs = bytes.TrimSpace(attrs)
		a, n, err := parseAttr(attrs)
		if err != nil {
			return ""
		}
		if string(a.name) == "encoding" {
			return strings.ToLower(string(a.value))
		}
		attrs = attrs[n:]
	}
}
