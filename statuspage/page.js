"use strict";
(() => {
  // The page is asked for again and its content put in place of the old: there is one way to render it. Where no
  // answer comes, that is said: nothing old is shown as if it were new.
  const page = document.documentElement;
  const silence = document.getElementById("silence");
  const pause = document.getElementById("pause");
  let since = "";
  let timer = 0;
  let asking = false;
  let paused = false;

  const of = () => document.getElementById("of")?.textContent ?? "a time before there was any";

  // What is said is written when it changes, not each time: a screen reader would say it each time.
  const say = (text) => {
    if (silence.textContent !== text) silence.textContent = text;
  };

  const selecting = () => {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed
      && document.getElementById("status").contains(selection.anchorNode);
  };

  const take = (next) => {
    const main = document.getElementById("status");
    const focused = document.activeElement?.id;
    const scrolled = [...main.querySelectorAll(".scroll")].map((part) => [part.id, part.scrollLeft]);
    main.replaceWith(document.adoptNode(next.getElementById("status")));
    document.title = next.title;
    page.dataset.refresh = next.documentElement.dataset.refresh;
    for (const [id, left] of scrolled) {
      const part = document.getElementById(id);
      if (part) part.scrollLeft = left;
    }
    if (focused && document.activeElement?.id !== focused) {
      document.getElementById(focused)?.focus({ preventScroll: true });
    }
  };

  // ask brings the page up to date and returns what kept it from that, empty where nothing did.
  const ask = async () => {
    let answer, next;
    try {
      answer = await fetch("./", { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(10000) });
      next = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      return "it cannot be reached";
    }
    if (next.getElementById("status") && answer.ok) {
      if (next.documentElement.dataset.version !== page.dataset.version) window.location.reload();
      else if (!selecting()) take(next);
      return "";
    }
    // Any other refusal is of a moment, as where Drone cannot be asked whose token it is.
    if (next.getElementById("door") && [200, 401, 403].includes(answer.status)) window.location.reload();
    return `it says ${answer.status}`;
  };

  const refresh = async () => {
    window.clearTimeout(timer);
    if (asking || paused) return;
    asking = true;
    const trouble = await ask();
    asking = false;
    if (trouble === "") since = "";
    else if (since === "") since = new Date().toISOString().slice(11, 19);
    if (paused) return;
    if (trouble !== "") say(`The agent has not answered since ${since} UTC: ${trouble}. What is shown is of ${of()}.`);
    else say(selecting() ? "Not brought up to date while text is selected." : "");
    timer = window.setTimeout(refresh, Number(page.dataset.refresh) * 1000);
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    say(paused ? `Paused. What is shown is of ${of()}.` : "");
    refresh();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") refresh();
  });
  timer = window.setTimeout(refresh, Number(page.dataset.refresh) * 1000);
})();
