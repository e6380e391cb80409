import assert from "node:assert/strict";
import { test } from "node:test";
import { lostDevice } from "./lost-device.js";

test("a lost device is told from any other failure, with what to do", () => {
  const lost = lostDevice(new Error("vk::Queue::submit: ErrorDeviceLost"), "vulkan");
  assert.match(lost?.message ?? "", /vulkan device was lost.*ErrorDeviceLost.*Loading the model again.*cpu/);
  assert.equal(lostDevice(new Error("vk::Device::allocateMemory: ErrorOutOfDeviceMemory"), "vulkan"), null);
  assert.equal(lostDevice(new Error("ErrorDeviceLost"), "cpu"), null);
});
