// SPDX-License-Identifier: Apache-2.0
const root = document.documentElement, button = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
function setTheme(isDark) {
  root.dataset.theme = isDark ? "dark" : "light";
  button.textContent = isDark ? "Light" : "Dark";
}
button.onclick = () => setTheme(root.dataset.theme !== "dark");
dark.addEventListener("change", (event) => setTheme(event.matches));
setTheme(dark.matches);
