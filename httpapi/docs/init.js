// The page's own script: a file, since its policy allows no script within it.
SwaggerUIBundle({
  url: "openapi.json",
  domNode: document.getElementById("docs"),
  deepLinking: true,
  validatorUrl: null, // it would send the description to another host
});
