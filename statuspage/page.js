"use strict";
(() => {
  // The page is asked for again and its content put in place of the old: there is one way to render it. Where no
  // answer comes, that is said: nothing old is shown as if it were new.
  const every = Number(document.documentElement.dataset.refresh) * 1000;
  const silence = document.getElementById("silence");
  let answered = Date.now();
  let timer = 0;
  let asking = false;

  const say = (text) => {
    if (silence.textContent !== text) silence.textContent = text;
    silence.hidden = text === "";
  };

  const selecting = (main) => {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && main.contains(selection.anchorNode);
  };

  const take = (next) => {
    const main = document.getElementById("status");
    const focused = document.activeElement?.id;
    const scrolled = [...main.querySelectorAll(".scroll")].map((part) => [part.id, part.scrollLeft]);
    main.replaceWith(document.adoptNode(next.getElementById("status")));
    document.title = next.title;
    document.documentElement.dataset.refresh = next.documentElement.dataset.refresh;
    for (const [id, left] of scrolled) {
      const part = document.getElementById(id);
      if (part) part.scrollLeft = left;
    }
    if (focused && document.activeElement?.id !== focused) {
      document.getElementById(focused)?.focus({ preventScroll: true });
    }
  };

  const refresh = async () => {
    if (asking) return;
    asking = true;
    window.clearTimeout(timer);
    let trouble = "it cannot be reached";
    try {
      const answer = await fetch("./", { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(10000) });
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (next.getElementById("door")) {
        window.location.reload(); // the token does not do any more
        return;
      }
      trouble = answer.ok && next.getElementById("status") ? "" : `it says ${answer.status}`;
      if (trouble === "" && !selecting(document.getElementById("status"))) take(next);
      if (trouble === "") answered = Date.now();
    } catch {
      // said below
    }
    if (trouble === "") {
      say(selecting(document.getElementById("status")) ? "Not brought up to date while text is selected." : "");
    } else {
      const seconds = Math.round((Date.now() - answered) / 1000);
      const of = document.getElementById("of").textContent;
      say(`The agent has not answered for ${seconds} s: ${trouble}. What is shown is of ${of}.`);
    }
    asking = false;
    timer = window.setTimeout(refresh, every);
  };

  timer = window.setTimeout(refresh, every);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") refresh();
  });
})();
