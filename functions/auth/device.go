package auth

import (
	"strings"
	"unicode"
)

// maxUserAgent is how much of the header is kept, in characters.
const maxUserAgent = 1024

// browsers and systems are looked for in this order: most browsers name those
// they descend from, and Android names Linux.
var (
	browsers = [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"}, {"PostmanRuntime/", "Postman"},
		{"python-requests/", "Python"}, {"Go-http-client/", "Go"}, {"okhttp/", "Android app"}, {"Dart/", "Dart"}, {"node", "Node.js"},
	}
	systems = [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"},
		{"Mac OS X", "macOS"}, {"Macintosh", "macOS"}, {"Linux", "Linux"},
	}
)

// device names what a person signed in with, so that they know it again in the
// list of their sessions. It is a guess, and nothing is decided by it.
func device(userAgent string) string {
	browser, system := first(browsers, userAgent), first(systems, userAgent)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser != "" || system != "":
		return browser + system
	}
	return "Unknown device"
}

func first(names [][2]string, in string) string {
	for _, n := range names {
		if strings.Contains(in, n[0]) {
			return n[1]
		}
	}
	return ""
}

// printable is what is kept of a User-Agent: text that a page can show.
func printable(userAgent string) string {
	clean := strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(userAgent, ""))
	return truncate(clean, maxUserAgent)
}
