// Starts Swagger UI on our own document. "Authorize" takes an access token and
// keeps it across reloads of this page, in this browser.
"use strict";
window.ui = SwaggerUIBundle({
  url: "/api/schema/",
  dom_id: "#docs",
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
