package tasks

const list = `select id from app.tasks where tenant_id = $1`
