package tasks

import (
	"regexp"
	"unicode/utf8"
)

// addressLike finds what may be an address in any text: also one with a letter
// that no mail provider allows, and one that is escaped for a URL.
var addressLike = regexp.MustCompile(`[^\s"'<>@,;:|&=?/()\[\]{}\\]+(?:@|%40|\\u0040)[^\s"'<>@,;:|&=?/()\[\]{}\\]+`)

var atSign = regexp.MustCompile(`@|%40|\\u0040`)

// Mask replaces every address in a text by what Email prints of it. It is for texts
// that others have made.
func Mask(text []byte) []byte {
	return addressLike.ReplaceAllFunc(text, func(found []byte) []byte {
		at := atSign.FindIndex(found)
		_, a := utf8.DecodeRune(found)
		_, d := utf8.DecodeRune(found[at[1]:])
		masked := append([]byte{}, found[:a]...)
		masked = append(masked, "***@"...)
		masked = append(masked, found[at[1]:at[1]+d]...)
		return append(masked, "***"...)
	})
}
