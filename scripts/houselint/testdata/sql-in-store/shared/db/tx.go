package db

const set = `select app.set_tenant($1)`
