"use strict";
// Live progress: asks every two seconds about the imports on this page that run, and on the first page of the list which
// import is the newest. When one ends, or is new, the page is loaded again, unless somebody is writing in it. Everything
// can be read without this file.
const SECONDS = 2;

function show(part, live) {
  const bar = part.querySelector("[data-bar]");
  if (bar) {
    bar.hidden = live.percent === null;
    if (live.percent !== null) bar.value = live.percent;
  }
  const put = (selector, text) => {
    const place = part.querySelector(selector);
    if (place && place.textContent !== text) place.textContent = text;
  };
  put("[data-bytes]", live.progress);
  put("[data-sentence]", live.sentence);
  put("[data-slow-name]", live.slow);
  const slow = part.querySelector("[data-slow]");
  if (slow) slow.hidden = !live.slow;
}

async function look() {
  const parts = new Map([...document.querySelectorAll("[data-live]")].map((part) => [part.dataset.live, part]));
  const list = document.querySelector("[data-newest]");
  if (!parts.size && !list) return;
  const query = new URLSearchParams({ ids: [...parts.keys()].slice(0, 100).join(",") });
  if (list) query.set("newest", window.location.search.slice(1));
  const answer = await fetch("/ui/live?" + query, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  const body = await answer.json();
  let news = "";
  for (const live of body.imports) {
    const part = parts.get(live.id);
    if (!part) continue;
    show(part, live);
    if (live.state !== part.dataset.state) news = "An import is " + live.state + " now.";
  }
  if (list && body.newest !== list.dataset.newest) news = news || "The list has changed.";
  const place = document.querySelector("[data-news]");
  if (news && !(document.activeElement instanceof HTMLInputElement)) {
    window.location.reload();
  } else if (news && place) {
    place.textContent = news + " Load the page again to see all of it.";
  }
}

async function watch() {
  for (;;) {
    await new Promise((resume) => setTimeout(resume, SECONDS * 1000));
    if (document.hidden) continue;
    try {
      await look();
    } catch (error) {
      const news = document.querySelector("[data-news]");
      if (news) news.textContent = "The progress cannot be read at the moment.";
    }
  }
}

watch();
