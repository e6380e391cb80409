import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export interface ModelServer {
  url: string;
  /** The Range header of each request for the file's content; null where there was none. */
  ranges: (string | null)[];
  close(): Promise<void>;
}

/** Serves one file as the model hub does, at a limited speed, and cuts the first connection after `cutAt` bytes. */
export function serveModel(file: string, sha256: string, options: { cutAt: number; bytesPerSecond: number }): Promise<ModelServer> {
  const { size } = statSync(file);
  const ranges: (string | null)[] = [];
  const server = createServer(async (request, response) => {
    response.setHeader("etag", `"${sha256}"`);
    response.setHeader("x-linked-etag", `"${sha256}"`);
    response.setHeader("x-linked-size", size);
    response.setHeader("accept-ranges", "bytes");
    if (request.method === "HEAD") return void response.writeHead(200, { "content-length": size }).end();
    const range = request.headers.range ?? null;
    ranges.push(range);
    const start = Number(/^bytes=(\d+)-/.exec(range ?? "")?.[1] ?? 0);
    const head = range
      ? { "content-length": size - start, "content-range": `bytes ${start}-${size - 1}/${size}` }
      : { "content-length": size };
    response.writeHead(range ? 206 : 200, head);
    let sent = 0;
    const cut = ranges.length === 1;
    for await (const chunk of createReadStream(file, { start, highWaterMark: 1 << 18 })) {
      if (response.destroyed) return;
      response.write(chunk);
      sent += (chunk as Buffer).length;
      if (cut && sent >= options.cutAt) return void response.destroy();
      await sleep(((chunk as Buffer).length / options.bytesPerSecond) * 1000);
    }
    response.end();
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      resolve({
        url: `http://127.0.0.1:${port}`,
        ranges,
        close: () =>
          new Promise((done) => {
            server.closeAllConnections();
            server.close(() => done());
          }),
      });
    });
  });
}
