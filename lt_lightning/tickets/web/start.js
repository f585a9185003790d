/** Show the ticket that this page holds in base64: a whole page in `main`, a box in any other element. */
const root = document.querySelector(".ticket");
try {
  const text = document.getElementById("ticket").textContent;
  window.ticket = await loadTicket(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)));
  (root.matches("main") ? mount : mountBox)(root, window.ticket);
  performance.mark("ready");
} catch (error) {
  root.textContent = error.message;
}
