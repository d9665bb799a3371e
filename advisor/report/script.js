"use strict";
// A link into a folded part opens it, and printing opens the issues.
const reveal = () => {
  let at = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
};
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => document.querySelectorAll("details.issue, details.example").forEach((d) => { d.open = true; }));
reveal();
