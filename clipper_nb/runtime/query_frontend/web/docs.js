// Swagger UI for the applications of this frontend: what is asked goes to this frontend and nowhere else.
const dark = matchMedia("(prefers-color-scheme: dark)");
const followTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followTheme);
followTheme();

// Names that a screen reader needs and Swagger UI does not set.
const NAMES = {
  ".body-param__text": "Request body",
  ".examples-select-element": "Example",
  "#servers": "Server",
  ".content-type": "Content type",
  ".close-modal": "Close the dialog",
};
const root = document.getElementById("swagger-ui");
const nameControls = () => {
  for (const [selector, name] of Object.entries(NAMES)) {
    for (const control of root.querySelectorAll(`${selector}:not([aria-label])`)) control.setAttribute("aria-label", name);
  }
  for (const code of root.querySelectorAll("pre:not([tabindex])")) code.tabIndex = 0;
};
new MutationObserver(nameControls).observe(root, { childList: true, subtree: true });

SwaggerUIBundle({
  url: "openapi.json",
  domNode: root,
  validatorUrl: null,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: -1,
  persistAuthorization: false,
});
