package tasks

const byID = `select id from app.tasks where tenant_id = $1 and id = $2`
