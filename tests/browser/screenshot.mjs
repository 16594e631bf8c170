// Take the picture of the chat that the README shows.
//   node screenshot.mjs FILE COMMAND...    starts the server by COMMAND
import { composer, lastTick, openBrowser, picture, say, signIn, startServer } from "./people.mjs";

const [file, ...command] = process.argv.slice(2);
const size = { viewport: { width: 1120, height: 720 } };
const browser = await openBrowser();
const server = await startServer(command);

const enter = async (page, room) => {
  await page.locator("#room-name").fill(room);
  await page.locator("#room-name").press("Enter");
  await page.locator("#title", { hasText: room }).waitFor();
};

try {
  const [ada, grace, alan, radia] = await Promise.all(
    ["ada", "grace", "alan", "radia"].map((name) => signIn(browser, server.url, name, size)),
  );
  await enter(radia, "weather");
  await enter(alan, "music");
  await enter(ada, "music");
  await enter(grace, "trail");
  for (const page of [ada, alan, radia]) await enter(page, "trail");
  await alan.locator("#title", { hasText: "#trail" }).waitFor();

  await say(alan, "Who is in for the ridge on Saturday? Clear skies all day.");
  await lastTick(alan, "delivered");
  await say(grace, "In! I can drive, three seats left.");
  await lastTick(grace, "delivered");
  await say(ada, "One of them is mine. Found this from our last evening up there:");
  await ada.locator("#file").setInputFiles(await picture(ada, 960, 350));
  await lastTick(ada, "delivered");
  await ada.locator(".picture img").evaluate((image) => image.decode());
  await say(radia, "What a view. Count me in, I bring the tea.");
  await lastTick(radia, "delivered");
  await say(ada, "Seven o'clock at the station, then?");
  await lastTick(ada, "delivered");

  await radia.getByRole("button", { name: "Private conversation with ada" }).click();
  await say(radia, "Shall I pick you up on the way?");
  await lastTick(radia, "delivered");
  await composer(grace).pressSequentially("Ten past");
  await ada.getByText("grace is typing").waitFor();
  await ada.screenshot({ path: file });
} finally {
  await browser.close();
  await server.stop();
}
