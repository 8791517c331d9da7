package collection

import "fmt"

// recipe is what a request needs beyond the document's example.
type recipe struct {
	id string // of the operation
	// name is shown instead of the summary.
	name string
	// body replaces members of the example; nil takes one away.
	body  object
	query map[string]string
	// expect are the statuses that are right; none means the documented success.
	expect []int
	// before and then are lines of JavaScript around the request.
	before, then []string
	// token names the variable with the token to use, where it is not one's own.
	token string
	// as is put before the names of the variables for tokens and people.
	as string
	// keep names the variable for the id, where it is not that of the kind.
	keep string
	// first are requests to make right before this one.
	first []recipe
}

var variables = []struct{ name, value, about string }{
	{"base_url", "http://127.0.0.1:8080", "Where the platform is."},
	{"mailbox_url", "http://127.0.0.1:8080/_local/mail/", "The mailbox of `make run`, from which tokens are taken. Empty elsewhere: put what the mail says into `token` by hand."},
	{"run", "", "What tells this run's names from another's; made anew by the first request."},
	{"email", "", "Of the account; made by the first request."},
	{"password", "difference-engine-2", "Of the account."},
	{"access_token", "", "Of the session; an hour."},
	{"refresh_token", "", "Of the session."},
	{"token", "", "The newest that was mailed."},
}

// mailed takes a token from the newest mail to an address that leads to a page
// of the application.
func mailed(address, page string) []string {
	return []string{fmt.Sprintf(`// The token is in a mail. Without a mailbox to look into, it is in the variable already.
const box = pm.environment.get("mailbox_url");
if (box) {
  pm.environment.unset("token");
  const look = (left) => pm.sendRequest(box + "api/messages/?to=" + encodeURIComponent(pm.environment.get(%q)), (fault, mail) => {
    const found = fault ? [] : mail.json().results.flatMap((m) => m.links.map((link) => ({at: m.received_at, link}))).filter((l) => l.link.includes(%q));
    found.sort((a, b) => (a.at < b.at ? 1 : -1));
    if (found.length > 0) pm.environment.set("token", decodeURIComponent(found[0].link.split("token=")[1].split("&")[0]));
    else if (left > 0) setTimeout(() => look(left - 1), 250);
  });
  look(120);
}`, address, page)}
}

var login = recipe{id: "login", body: object{"email": "{{email}}", "password": "{{password}}", "tenant": nil}}

// again is signing in after what ended the session.
func again() recipe {
	r := login
	r.name = "Sign in again"
	return r
}

// opening comes first.
var opening = []recipe{
	{
		id:   "register",
		body: object{"email": "{{email}}", "password": "{{password}}", "subdomain": "t{{run}}"},
		before: []string{`const run = Date.now().toString(36) + Math.floor(Math.random() * 1e9).toString(36);
for (const [name, value] of Object.entries({
  run, email: "ada-" + run + "@example.com", guest_email: "grace-" + run + "@example.com", password: "difference-engine-2",
})) pm.environment.set(name, value);`},
	},
	login,
	{id: "verify-email", body: object{"token": "{{token}}"}, before: mailed("email", "/verify-email")},
}

// paying is what a subscription goes through, with Stripe's cards for tests.
var paying = []recipe{
	{id: "add-payment-method", body: object{"payment_method_id": "pm_card_visa"}, expect: []int{200, 201}},
	{id: "subscribe", body: object{"payment_method_id": "pm_card_visa"}, expect: []int{200, 201}},
	{id: "change-plan"},
	{id: "cancel-subscription"},
	{id: "resume-subscription"},
	{id: "add-payment-method", name: "Add another card", body: object{"payment_method_id": "pm_card_mastercard"}, expect: []int{200, 201}, then: []string{`pm.environment.set("payment_method_id", body.id);`}},
	{id: "delete-payment-method"},
}

// closing comes last, in this order: each step ends something.
var closing = []recipe{
	{
		id: "accept-invitation", as: "guest_", before: mailed("guest_email", "/accept-invitation"),
		body: object{"token": "{{token}}", "password": "difference-engine-5", "first_name": "Grace", "last_name": "Hopper"},
	},
	{id: "change-email", body: object{"email": "countess-{{run}}@example.com", "password": "{{password}}"}, then: []string{`pm.environment.set("email", "countess-" + pm.environment.get("run") + "@example.com");`}},
	{id: "confirm-email-change", body: object{"token": "{{token}}"}, before: mailed("email", "/confirm-email")},
	{id: "change-password", body: object{"current_password": "{{password}}", "new_password": "difference-engine-3"}, then: []string{`pm.environment.set("password", "difference-engine-3");`}},
	again(),
	{id: "refresh", body: object{"refresh_token": "{{refresh_token}}"}},
	{id: "switch-tenant", body: object{"tenant_id": "{{tenant_id}}"}},
	{id: "logout", body: object{"refresh_token": "{{refresh_token}}"}},
	{id: "request-password-reset", body: object{"email": "{{email}}"}},
	{id: "confirm-password-reset", body: object{"token": "{{token}}", "password": "difference-engine-4"}, before: mailed("email", "/reset-password"), then: []string{`pm.environment.set("password", "difference-engine-4");`}},
	again(),
	{id: "revoke-sessions"},
	again(),
	{id: "transfer-tenant", body: object{"user_id": "{{guest_user_id}}"}},
	{id: "leave-tenant"},
	{id: "switch-tenant", name: "Switch to the other organization", body: object{"tenant_id": "{{other_tenant_id}}"}},
	{id: "delete-tenant", body: object{"confirm": "other-{{run}}"}},
	{id: "delete-me", body: object{"confirm": "{{email}}"}},
}

// recipes are those of operations whose place follows from the document.
var recipes = map[string]recipe{
	"invite":        {body: object{"email": "{{guest_email}}"}},
	"create-domain": {body: object{"domain": "work-{{run}}.example.com"}},
	// Nobody has put its record into the DNS.
	"verify-domain": {expect: []int{409}},
	"update-domain": {body: object{"is_primary": false}},
	// Only Stripe can sign one.
	"receive-stripe-event": {expect: []int{400}},
	// Not the one that is accepted in the end.
	"delete-invitation":      {first: []recipe{{id: "invite", name: "Invite somebody else", body: object{"email": "alan-{{run}}@example.com"}}}},
	"create-member":          {body: object{"email": "member-{{run}}@example.com"}},
	"create-tenant":          {body: object{"subdomain": "other-{{run}}"}, keep: "other_tenant_id"},
	"replace-current-tenant": {body: object{"subdomain": "t{{run}}"}},
	"update-project":         {body: object{"status": nil, "name": "Apollo 11"}},
	"create-attachment": {
		body: object{"filename": "listing.txt", "content_type": "text/plain", "size": 11},
		then: []string{`if (body.upload) pm.environment.set("upload", JSON.stringify(body.upload));`},
	},
	"complete-attachment": {before: []string{`// The file goes straight to where the signed link leads.
const upload = JSON.parse(pm.environment.get("upload"));
pm.sendRequest({
  url: upload.url, method: upload.method, header: Object.entries(upload.headers).map(([key, value]) => ({key, value})), body: {mode: "raw", raw: "hello world"},
}, (fault, sent) => pm.test("the file is taken", () => pm.expect(fault || sent.code).to.be.oneOf([200, 201, 204])));`}},
	// It may have finished.
	"cancel-job": {expect: []int{200, 409}},
	// Only a mail of the daily summary holds a token for this.
	"unsubscribe": {query: map[string]string{"token": "{{token}}"}, expect: []int{204, 404}},
	"delete-session": {first: []recipe{
		{id: "login", name: "Sign in on another device", body: object{"email": "{{email}}", "password": "{{password}}", "tenant": nil}, as: "device_"},
		{id: "list-sessions", name: "Find the other device", then: []string{`const other = (body.results || []).find((s) => !s.current);
if (other) pm.environment.set("session_id", other.id);`}},
	}},
}
