package db

import "context"

// Keyed runs fn in a transaction that sees the claim of one key and nobody's
// rows: for what is known of a key and belongs to no tenant and to no person,
// such as whether mail may go to an address.
func Keyed(ctx context.Context, d *DB, key string, fn func(*Tx) error) error {
	return d.run(ctx, &Tx{db: d, pool: d.app, scope: userScope, write: true}, func(tx *Tx) error {
		Claim(tx, key)
		return fn(tx)
	})
}
