/**
 * Keeps the page for use without a network. The build puts the list of files and their version in.
 */

const CACHE = "face-mask-VERSION";
const FILES = ["FILES"];

self.addEventListener("install", (event) => {
  event.waitUntil(keepFiles());
});

async function keepFiles() {
  const cache = await caches.open(CACHE);
  // "no-cache" asks the server: a file that the browser has kept may be of an earlier version.
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
  await self.skipWaiting();
}

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOldFiles());
});

async function dropOldFiles() {
  for (const name of await caches.keys()) {
    if (name.startsWith("face-mask-") && name !== CACHE) {
      await caches.delete(name);
    }
  }
  await self.clients.claim();
}

self.addEventListener("fetch", (event) => {
  const isOwn = new URL(event.request.url).origin === self.location.origin;
  if (event.request.method === "GET" && isOwn) {
    event.respondWith(answer(event.request));
  }
});

async function answer(request) {
  let kept;
  try {
    const cache = await caches.open(CACHE);
    kept = await cache.match(request, { ignoreSearch: true });
  } catch {
    // The storage of the browser is full or damaged: the network has the file.
  }
  return kept ?? fetch(request);
}
