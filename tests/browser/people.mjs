// People in the chat, for the test and for the picture in the README.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

/** Start the server by its command on a port (0: a free one); resolves when it says where it listens. */
export async function startServer([program, ...args], port = 0) {
  const child = spawn(program, [...args, "--port", port], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout });
  const [line] = await Promise.race([
    once(lines, "line"), exited.then(() => { throw new Error("the server did not start"); }),
  ]);
  const url = line.match(/http:\/\/\S+/)[0];
  const stop = async () => {
    child.kill("SIGINT");
    await exited;
  };
  return { url, port: new URL(url).port, stop };
}

export function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}

/** Open the page as a new person. Errors of the page end the program. */
export async function signIn(browser, url, nickname, { admitted = true, ...options } = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  page.on("pageerror", (error) => { throw error; });
  await page.goto(url);
  await page.getByLabel("Your nickname").fill(nickname);
  await page.getByRole("button", { name: "Join the lobby" }).click();
  // On a narrow page the name is in the closed drawer.
  if (admitted) await page.locator("#me strong", { hasText: nickname }).waitFor({ state: "attached" });
  return page;
}

export const composer = (page) => page.getByRole("textbox", { name: "Message", exact: true });

export async function say(page, text) {
  await composer(page).fill(text);
  await composer(page).press("Enter");
}

/** Wait until the last message of the open conversation has one of these ticks. */
export const lastTick = (page, ...states) =>
  page.locator(states.map((state) => `.message:last-of-type .tick[data-state="${state}"]`).join()).waitFor();

/** Paint hills before an evening sky; the result is what setInputFiles() takes. */
export async function picture(page, width, height) {
  const url = await page.evaluate(([width, height]) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const paint = canvas.getContext("2d");
    const sky = paint.createLinearGradient(0, 0, 0, height);
    for (const [at, colour] of [[0, "#1f3b57"], [0.45, "#c77b58"], [0.7, "#f5c98a"]]) sky.addColorStop(at, colour);
    paint.fillStyle = sky;
    paint.fillRect(0, 0, width, height);
    paint.fillStyle = "#fff1d0";
    paint.beginPath();
    paint.arc(width * 0.68, height * 0.5, height * 0.09, 0, 7);
    paint.fill();
    ["#7b5a5e", "#4d4653", "#2a303f"].forEach((colour, layer) => {
      paint.fillStyle = colour;
      paint.beginPath();
      paint.moveTo(0, height);
      for (let x = 0; x <= width; x += 4) {
        const wave = Math.sin(x / width * (5 + 3 * layer) + 2 * layer) + Math.sin(x / width * (13 + layer) + layer) / 3;
        paint.lineTo(x, height * (0.6 + 0.13 * layer - 0.07 * wave));
      }
      paint.lineTo(width, height);
      paint.fill();
    });
    return canvas.toDataURL("image/jpeg", 0.9);
  }, [width, height]);
  return { name: "evening.jpg", mimeType: "image/jpeg", buffer: Buffer.from(url.split(",")[1], "base64") };
}
