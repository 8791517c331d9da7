package tasks

const count = `select count(*) from app.tasks`
