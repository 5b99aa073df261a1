// Copy buttons, a quiet address bar, and polling that rests in hidden tabs. Nothing needs this file.
"use strict";
(() => {
  const copied = document.body.dataset.copied;
  const say = (text) => { const live = document.getElementById("live"); if (live) live.textContent = text; };

  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    // Plain http on a campus network has no clipboard interface.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("copy refused");
  }

  document.querySelectorAll("button[data-copy]").forEach((button) => {
    button.hidden = false;
    const label = button.querySelector("[data-label]");
    const before = label.textContent;
    button.addEventListener("click", async () => {
      try {
        await copy(document.getElementById(button.dataset.copy).textContent.trim());
      } catch {
        return;
      }
      label.textContent = copied;
      say(copied);
      setTimeout(() => { label.textContent = before; }, 2000);
    });
  });

  // The page with a secret answers a form. A reload must not send the form again.
  const address = document.body.dataset.address;
  if (address && address !== location.pathname) history.replaceState(null, "", address);

  document.addEventListener("htmx:beforeRequest", (event) => {
    const polls = (event.target.getAttribute("hx-trigger") || "").startsWith("every");
    if (polls && document.hidden) event.preventDefault();
  });
  const trouble = (event) => {
    const box = document.getElementById(event.target.dataset.trouble || "");
    if (box) box.hidden = event.type === "htmx:afterOnLoad";
  };
  ["htmx:sendError", "htmx:responseError", "htmx:timeout", "htmx:afterOnLoad"].forEach(
    (name) => document.addEventListener(name, trouble),
  );

  // Seconds to wait are counted down; what may not be pressed until then can be pressed after.
  document.querySelectorAll("[data-wait]").forEach((seconds) => {
    const until = Date.now() + 1000 * Number(seconds.textContent.replace(/\D/g, ""));
    const held = seconds.closest("form")?.querySelector("[data-waits]");
    if (held) held.disabled = true;
    const timer = setInterval(() => {
      const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
      seconds.textContent = left;
      if (left) return;
      clearInterval(timer);
      if (!held) return;
      held.disabled = false;
      held.removeAttribute("aria-describedby");
      seconds.closest("p").hidden = true;
    }, 250);
  });

  document.querySelectorAll("select[data-submit]").forEach((select) => {
    select.addEventListener("change", () => select.form.requestSubmit());
  });
})();
