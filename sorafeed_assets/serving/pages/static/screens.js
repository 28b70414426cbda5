// The page of a display's screens: copying the link that was created.

const link = document.querySelector("[data-link]");

document.querySelector("[data-copy]")?.addEventListener("click", async () => {
  link.select();
  let isCopied = false;
  try {
    await navigator.clipboard.writeText(link.value);
    isCopied = true;
  } catch {
    // The clipboard is missing where the page is not served by HTTPS.
    isCopied = document.execCommand("copy");
  }
  document.querySelector("[data-copied]").textContent = isCopied ? "Copied." : "The link is selected. Press Ctrl-C to copy it.";
});
