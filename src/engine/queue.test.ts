import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Priority, Queue, type Turn } from "./queue.js";

const never = new AbortController().signal;
const tick = () => new Promise((resolve) => setImmediate(resolve));

test("higher classes go first and a class is first in, first out", async () => {
  const queue = new Queue();
  const order: string[] = [];
  let release = () => {};
  const held = queue.run("holder", "request", never, () => new Promise<void>((resolve) => (release = resolve)));
  const add = (name: string, priority: Priority) =>
    queue.run(name, priority, never, async () => {
      order.push(name);
    });
  const all = [
    add("b1", "background"),
    add("r1", "request"),
    add("t1", "typing"),
    add("r2", "request"),
    add("t2", "typing"),
    add("b2", "background"),
  ];
  assert.equal(queue.queued, 6);
  release();
  await Promise.all([held, ...all]);
  assert.deepEqual(order, ["t1", "t2", "r1", "r2", "b1", "b2"]);
  assert.equal(queue.busy, null);
});

test("running work gives way to a higher class at a pause, and only to a higher one", async () => {
  const queue = new Queue();
  const order: string[] = [];
  const background = queue.run("search", "background", never, async (turn) => {
    for (let batch = 0; batch < 3; batch++) {
      order.push(`batch ${batch}`);
      await tick();
      await turn.pause();
    }
  });
  await Promise.resolve();
  const typing = queue.run("infill", "typing", never, async () => {
    order.push("infill");
    assert.equal(queue.busy, "infill");
  });
  const other = queue.run("second search", "background", never, async () => {
    order.push("second search");
  });
  await Promise.all([background, typing, other]);
  assert.deepEqual(order, ["batch 0", "infill", "batch 1", "batch 2", "second search"]);
});

test("cancelled while waiting: never starts, is rejected at once", async () => {
  const queue = new Queue();
  let release = () => {};
  const held = queue.run("holder", "request", never, () => new Promise<void>((resolve) => (release = resolve)));
  const abort = new AbortController();
  let started = false;
  const doomed = queue.run("doomed", "typing", abort.signal, async () => {
    started = true;
  });
  abort.abort();
  await assert.rejects(doomed, { code: "cancelled" });
  assert.equal(queue.queued, 0);
  release();
  await held;
  assert.equal(started, false);
});

test("cancelled while paused: throws at the pause", async () => {
  const queue = new Queue();
  const abort = new AbortController();
  const work = queue.run("chat", "request", abort.signal, async (turn) => {
    abort.abort();
    await turn.pause();
    assert.fail("went on after its cancellation");
  });
  await assert.rejects(work, { code: "cancelled" });
});

test("while a work waits for something else than the model, every request of a higher class runs", async () => {
  const queue = new Queue();
  const order: string[] = [];
  let written = (_: string) => {};
  const disk = new Promise<string>((resolve) => {
    written = resolve;
  });
  const search = queue.run("search", "background", never, async (turn) => {
    order.push(await turn.during(disk));
    await assert.rejects(turn.during(Promise.reject(new Error("disk full"))), /disk full/);
  });
  await tick();
  for (const name of ["first", "second"]) {
    await queue.run(name, "typing", never, async () => {
      order.push(name);
    });
    await tick();
  }
  written("written");
  await search;
  assert.deepEqual(order, ["first", "second", "written"]);
});

test("work that throws frees the queue", async () => {
  const queue = new Queue();
  await assert.rejects(
    queue.run("bad", "request", never, async () => {
      throw new Error("boom");
    }),
    /boom/,
  );
  assert.equal(await queue.run("good", "request", never, async () => 7), 7);
});

test("property: never two works between pauses, everything ends, lower never starts while higher waits", async () => {
  const work = fc.record({
    priority: fc.constantFrom<Priority>("typing", "request", "background"),
    steps: fc.integer({ min: 0, max: 4 }),
    at: fc.integer({ min: 0, max: 6 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(work, { maxLength: 12 }), async (works) => {
      const queue = new Queue();
      let inside = 0;
      const step = async (turn: Turn) => {
        inside++;
        assert.equal(inside, 1);
        await tick();
        inside--;
        await turn.pause();
      };
      const all: Promise<number>[] = [];
      for (let time = 0; time <= 6; time++) {
        for (const { priority, steps, at } of works) {
          if (at !== time) continue;
          all.push(
            queue.run(priority, priority, never, async (turn) => {
              for (let i = 0; i < steps; i++) await step(turn);
              return steps;
            }),
          );
        }
        await tick();
      }
      const done = await Promise.all(all);
      assert.equal(
        done.reduce((a, b) => a + b, 0),
        works.reduce((a, w) => a + w.steps, 0),
      );
      assert.equal(queue.busy, null);
      assert.equal(queue.queued, 0);
    }),
    { numRuns: 60 },
  );
});

test("a running background work learns of a request at once, not at its next pause, and only of higher classes", async () => {
  const queue = new Queue();
  const seen: boolean[] = [];
  const background = queue.run("search", "background", never, async (turn) => {
    const first = turn.preempted;
    void queue.run("another search", "background", never, async () => {});
    seen.push(first.aborted);
    const request = queue.run("chat", "request", never, async () => {});
    seen.push(first.aborted);
    await turn.pause();
    await request;
    // The next batch is not given up for a request that was served.
    seen.push(turn.preempted.aborted);
  });
  await background;
  assert.deepEqual(seen, [false, true, false]);
});

test("a long computation that rests gives way within milliseconds", async () => {
  const queue = new Queue();
  const background = queue.run("tokenising", "background", never, async (turn) => {
    // 200 ms of pieces that take almost nothing, as a prompt's tokens do
    for (const start = performance.now(); performance.now() - start < 200; ) await turn.rest();
  });
  const waited = await queue.run("typed", "typing", never, async (turn) => turn.waited);
  assert.equal(queue.busy, "tokenising", "the computation is not over yet");
  await background;
  assert.ok(waited < 100, `${waited} ms`);
});
