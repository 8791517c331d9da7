package queue

import "context"

// Call is what a platform says of a call that it made itself, after it checked
// who asked for it: on AWS Lambda, SQS and EventBridge invoke a function only
// where IAM permits it, and bring no token.
//
// It lives in a context, so that no request from outside can bring one along,
// whatever its headers and its body say.
type Call struct {
	// Attempt counts the deliveries of a message; 0 says that the call brings
	// no message, but that it is time for a schedule.
	Attempt int
}

type callKey struct{}

// Vouch marks ctx as a call that the platform made itself. It is for the
// packages of shared/serve alone: what they mark is believed by queue/push.
func Vouch(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// Vouched gives what the platform says of the call, if it made it itself.
func Vouched(ctx context.Context) (Call, bool) {
	c, ok := ctx.Value(callKey{}).(Call)
	return c, ok
}
