"use strict";
const form = document.getElementById("form");
const answer = document.getElementById("answer");
document.getElementById("send").addEventListener("click", async () => {
  const body = { token: new URLSearchParams(location.search).get("token") ?? "" };
  const headers = { "Content-Type": "application/json" };
  for (const input of form.querySelectorAll("input")) {
    if (input.name === "access_token") {
      headers.Authorization = "Bearer " + input.value.trim();
    } else if (input.value !== "") {
      body[input.name] = input.value;
    }
  }
  const call = "query" in form.dataset ? [form.dataset.path + location.search, { method: "POST" }]
    : [form.dataset.path, { method: "POST", headers, body: JSON.stringify(body) }];
  try {
    const response = await fetch(...call);
    const text = await response.text();
    let detail = text;
    try { detail = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: as it came */ }
    answer.textContent = (response.ok ? "Done. " : "Refused. ") + response.status + "\n" + detail;
  } catch (error) {
    answer.textContent = "The platform does not answer: " + error;
  }
});
