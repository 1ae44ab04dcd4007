// Which view is shown, the theme, and the keyboard.

const BOARD_VIEW = document.getElementById("board");
const RUN_VIEW = document.getElementById("run");
const TITLE = document.title;
let left = null; // where the reader was in the leaderboard

function route({ first = false } = {}) {
  const wanted = location.hash.startsWith("#run=");
  const run = wanted ? runAt(location.hash) : null;
  if (wanted && BOARD_VIEW.hidden === false) left = { y: scrollY, focus: document.activeElement };
  if (!wanted && RUN_VIEW.hidden) return; // a link inside the leaderboard
  BOARD_VIEW.hidden = wanted;
  RUN_VIEW.hidden = !wanted;
  if (!wanted) {
    RUN_VIEW.replaceChildren();
    document.title = TITLE;
    const focus = left?.focus?.isConnected && left.focus !== document.body ? left.focus : document.getElementById("title");
    focus.focus({ preventScroll: true });
    scrollTo(0, left?.y ?? 0);
    return;
  }
  if (run) drawRun(run);
  else
    RUN_VIEW.replaceChildren(
      h("h1", { id: "run-title", tabindex: "-1" }, "No such run"),
      h("p", {}, "This page holds no run of that address. ", h("a", { href: "#" }, "Back to the leaderboard")),
    );
  document.title = run ? `${run.arm.name}, ${seedOf(run)} · ${TITLE}` : TITLE;
  scrollTo(0, 0);
  if (!first || run) document.getElementById("run-title").focus({ preventScroll: true });
}

function startTheme() {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("splitbench-theme");
  } catch {} // a page opened from a file may not have any storage
  const show = () => {
    const dark = chosen ? chosen === "dark" : system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${dark ? "light" : "dark"} colours`);
  };
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("splitbench-theme", chosen);
    } catch {}
    show();
  });
  system.addEventListener("change", show);
  show();
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !RUN_VIEW.hidden) location.hash = "";
});
addEventListener("hashchange", () => route());
addEventListener("beforeprint", () => {
  if (RUN_VIEW.hidden && VIEW.limit < Infinity) {
    VIEW.limit = Infinity;
    drawTable();
  }
});
let drawnWidth = innerWidth;
addEventListener("resize", () => {
  const box = RUN_VIEW.querySelector(".figures");
  if (!box || innerWidth === drawnWidth) return;
  drawnWidth = innerWidth;
  const run = runAt(location.hash);
  const details = run && detailsOf(run);
  if (details) box.replaceChildren(...figures(run, details));
});

startTheme();
drawControls();
drawTable();
drawKeys();
drawCeilings();
route({ first: true });
