package identity_test

import (
	"strings"
	"testing"

	"github.com/coditect/platform/shared/identity"
)

func TestEmailFault(t *testing.T) {
	t.Parallel()
	for email, ok := range map[string]bool{
		"ada@example.com": true, "a.b+c@mail.example.co.uk": true, "o'hara@example.com": true, "1@2.com": true,
		"": false, "ada": false, "@example.com": false, "ada@": false, "ada@example": false, "ada@.com": false, "ada@example..com": false,
		"ada@-example.com": false, "ada@exa_mple.com": false, "ada@[127.0.0.1]": false, "ada@@example.com": false, "a da@example.com": false,
		"ada@example.com.": false, "ada\n@example.com": false, "\"ada\"@example.com": false, "ada@exämple.com": false,
		strings.Repeat("a", 65) + "@example.com": false, "ada@" + strings.Repeat("a", 64) + ".com": false,
		"ada@" + strings.Repeat("a.", 130) + "com": false,
	} {
		if got := identity.EmailFault(email); (got == "") != ok {
			t.Errorf("EmailFault(%q) = %q", email, got)
		}
	}
	if got := identity.NormalizeEmail(" Ada@Example.com "); got != "ada@example.com" {
		t.Errorf("normalized to %q", got)
	}
}
