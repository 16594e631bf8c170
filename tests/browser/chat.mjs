// The browser side of test_chat_demo.py: several people in the chat, each in a browser context of their own.
//   node chat.mjs SCREENSHOTS COMMAND...    starts the server by COMMAND; prints the name of each step that held
import assert from "node:assert/strict";

import { composer, lastTick, openBrowser, picture, say, signIn, startServer } from "./people.mjs";

const [screenshots, ...command] = process.argv.slice(2);
const browser = await openBrowser();
let server = await startServer(command);

async function step(name, check) {
  await check();
  console.log(name);
}

const message = (page, text) => page.locator(".message", { hasText: text });

try {
  const ada = await signIn(browser, server.url, "ada");
  const grace = await signIn(browser, server.url, "grace");

  await step("everybody sees who is there", async () => {
    await ada.locator("#people .item", { hasText: "grace" }).waitFor();
    await grace.locator("#people .item", { hasText: "ada" }).waitFor();
    assert.equal(await ada.locator("#subtitle").textContent(), "ada, grace");
  });

  await step("a nickname is given once", async () => {
    const page = await signIn(browser, server.url, "Ada", { admitted: false });
    await page.getByText("Somebody here is called Ada already.").waitFor();
    await page.context().close();
  });

  await step("typing shows and ends with the message", async () => {
    await composer(ada).pressSequentially("good");
    await grace.getByText("ada is typing").waitFor();
    await composer(ada).press("Enter");
    await message(grace, "good").waitFor();
    assert.equal((await grace.locator("#typing").textContent()).trim(), "");
  });

  await step("a message gets its second tick", async () => {
    await say(ada, "hello grace");
    await message(grace, "hello grace").waitFor();
    await lastTick(ada, "delivered");
  });

  await step("markup stays text", async () => {
    const markup = '<img src="x" onerror="document.title=1"><b>bold</b>';
    await say(grace, markup);
    await message(ada, markup).waitFor();
    assert.equal(await ada.locator(".bubble b").count(), 0);
  });

  await step("a room is for those inside", async () => {
    await ada.locator("#room-name").fill("Design");
    await ada.locator("#room-name").press("Enter");
    await ada.locator("#title", { hasText: "#design" }).waitFor();
    await say(ada, "only in design");
    await ada.locator('.tick[title="Sent; nobody else was here"]').waitFor();
    await lastTick(ada, "sent");
    await grace.getByRole("button", { name: "Join room design" }).click();
    await ada.getByText("grace joined").waitFor();
    await say(ada, "welcome to design");
    await message(grace, "welcome to design").waitFor();
    assert.equal(await message(grace, "only in design").count(), 0);
  });

  await step("several rooms at once", async () => {
    await grace.getByRole("button", { name: "Room lobby" }).click();
    await message(grace, "hello grace").waitFor();
    await say(ada, "are you still there?");
    await grace.getByRole("button", { name: "Room design, 2 inside, 1 unread" }).click();
    await message(grace, "are you still there?").waitFor();
  });

  await step("a private message is private", async () => {
    const alan = await signIn(browser, server.url, "alan");
    await alan.getByRole("button", { name: "Join room design" }).click();
    await ada.getByRole("button", { name: "Private conversation with grace" }).click();
    await say(ada, "between us");
    await lastTick(ada, "delivered");
    await grace.getByRole("button", { name: "Private conversation with ada, 1 unread" }).click();
    await message(grace, "between us").waitFor();
    // Alan's own message is answered after everything that was sent to him before: what he has not by then never comes.
    await say(alan, "anything new?");
    await lastTick(alan, "delivered");
    assert.equal(await alan.locator(".item .badge").count(), 0);
    assert.equal(await message(alan, "between us").count(), 0);
    await alan.context().close();
  });

  await step("a picture arrives", async () => {
    await ada.locator("#file").setInputFiles(await picture(ada, 640, 360));
    const image = grace.locator(".picture img");
    await image.waitFor();
    assert.deepEqual(await image.evaluate((node) => node.decode().then(() => [node.naturalWidth, node.naturalHeight])), [640, 360]);
    await lastTick(ada, "delivered");
  });

  await step("a picture that is too large is refused kindly", async () => {
    const buffer = Buffer.alloc(1_000_001);
    await ada.locator("#file").setInputFiles({ name: "whale.png", mimeType: "image/png", buffer });
    await ada.getByText("“whale.png” has 1.01 MB; this server takes pictures of up to 1 MB.").waitFor();
    await ada.locator("#banner").waitFor({ state: "hidden" });
  });

  await step("what is written without a connection arrives after it", async () => {
    await server.stop();
    await ada.getByText("Connection lost, reconnecting").waitFor();
    await ada.getByRole("button", { name: /^Room design/ }).click();
    await say(ada, "written in a tunnel");
    await lastTick(ada, "waiting");
    server = await startServer(command, server.port);
    await ada.locator("#banner").waitFor({ state: "hidden" });
    await grace.locator("#banner").waitFor({ state: "hidden" });
    await lastTick(ada, "sent", "delivered"); // whether Grace was back before it is chance
    await grace.getByRole("button", { name: /^Room design/ }).click();
    await say(ada, "and out again");
    await message(grace, "and out again").waitFor();
    await lastTick(ada, "delivered");
  });

  await ada.screenshot({ path: `${screenshots}/desktop.png` });
  await grace.setViewportSize({ width: 390, height: 780 });
  await grace.emulateMedia({ colorScheme: "dark" });
  await grace.screenshot({ path: `${screenshots}/phone.png`, animations: "disabled" });
  await step("a narrow page has its conversations in a drawer", async () => {
    const conversations = grace.getByRole("complementary", { name: "Conversations" });
    await conversations.waitFor({ state: "hidden" });
    await grace.getByRole("button", { name: "Show conversations" }).click();
    await conversations.waitFor();
    await grace.screenshot({ path: `${screenshots}/drawer.png`, animations: "disabled" });
    await grace.keyboard.press("Escape");
    await conversations.waitFor({ state: "hidden" });
  });
} finally {
  await browser.close();
  await server.stop();
}
