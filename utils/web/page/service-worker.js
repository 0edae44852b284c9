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
  await cache.addAll(FILES);
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
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  return kept ?? fetch(request);
}
