"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const result = byId("result");
  const say = (text) => { result.textContent = text; };
  const fields = ["access_token_expires", "session_expires", "idle_expires"];
  const ends = {};

  const remaining = (end) => {
    const seconds = Math.round(end - Date.now() / 1000);
    if (seconds <= 0) return "run out";
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    return (hours ? hours + ":" + two(Math.floor(seconds / 60) % 60) : Math.floor(seconds / 60)) + ":" + two(seconds % 60);
  };
  const show = () => {
    for (const field of fields) {
      byId(field).textContent = field in ends ? remaining(ends[field]) + " left" : "not known";
    }
  };
  const ask = async () => {
    try {
      const answer = await fetch("/oauth2/session", { headers: { accept: "application/json" } });
      for (const field of fields) delete ends[field];
      if (answer.ok) {
        const session = await answer.json();
        for (const field of fields) if (typeof session[field] === "number") ends[field] = session[field];
      }
    } catch { /* No gateway in front, or it is away: the clock says "not known". */ }
    show();
  };
  show();
  ask();
  setInterval(show, 1000);
  setInterval(() => { if (!document.hidden) ask(); }, 15000);

  const button = (id, press) => { byId(id).hidden = false; byId(id).addEventListener("click", press); };
  button("fetch", async () => {
    say("...");
    try {
      const answer = await fetch("/whoami", { headers: { accept: "application/json" } });
      say(answer.status + " " + answer.statusText + "\n" + JSON.stringify(await answer.json(), null, 2));
    } catch (error) { say("The call failed: " + error.message); }
  });
  button("socket", () => {
    say("connecting");
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
    const hello = "hello at " + new Date().toLocaleTimeString();
    socket.addEventListener("open", () => { say("open, sending: " + hello); socket.send(hello); });
    socket.addEventListener("message", (event) => { say("came back: " + event.data); socket.close(); });
    socket.addEventListener("error", () => say("The WebSocket could not be opened."));
  });
  let source = null;
  button("events", () => {
    if (source) { source.close(); source = null; say("stream closed"); return; }
    say("connecting");
    source = new EventSource("/events");
    source.addEventListener("message", (event) => say("event " + JSON.parse(event.data).count + " (press again to stop)"));
    source.addEventListener("error", () => say("The stream was interrupted; the browser tries again."));
  });
})();
