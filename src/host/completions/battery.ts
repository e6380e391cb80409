import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Whether the computer runs on battery. Unknown counts as no: a desktop has none, and a missing tool must not pause anything. */
export async function onBattery(platform = process.platform, supplies = "/sys/class/power_supply"): Promise<boolean> {
  if (platform === "linux") return await linux(supplies);
  if (platform === "darwin") return /Battery Power/.test(await output("/usr/bin/pmset", ["-g", "batt"]));
  if (platform === "win32") {
    // 1: discharging. The name is a fixed system tool, started without a shell.
    const script = "(Get-CimInstance -ClassName Win32_Battery).BatteryStatus";
    return /^\s*1\s*$/m.test(await output("powershell.exe", ["-NoProfile", "-NonInteractive", "-Command", script]));
  }
  return false;
}

async function linux(folder: string): Promise<boolean> {
  const read = (name: string, file: string) =>
    readFile(join(folder, name, file), "utf8").then(
      (text) => text.trim(),
      () => "",
    );
  const names = await readdir(folder).catch(() => []);
  const states = await Promise.all(
    names.map(async (name) => ({ type: await read(name, "type"), status: await read(name, "status"), online: await read(name, "online") })),
  );
  if (states.some((s) => s.type === "Mains" && s.online === "1")) return false;
  return states.some((s) => s.type === "Battery" && s.status === "Discharging");
}

function output(file: string, args: string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(file, args, { timeout: 5000, windowsHide: true }, (error, stdout) => resolve(error ? "" : stdout));
  });
}
