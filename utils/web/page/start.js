/*
 * Says why the page does not start. This is no module, so that it runs where the modules do not: in old
 * browsers, and where index.html was opened as a file.
 */

var PROBLEM =
  "The page cannot start: use a current browser, and open it from a server (`make serve`), not as a file.";

function sayWhy() {
  if (document.body.dataset.started === undefined) {
    var problem = document.getElementById("problem");
    document.getElementById("state").textContent = "";
    problem.textContent = PROBLEM;
    problem.hidden = false;
  }
}

window.addEventListener("load", sayWhy);
