//! The CPU time and memory of a process, from /proc.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// The unit of times in /proc, whatever the kernel's own resolution is.
const TICK: Duration = Duration::from_millis(10);

/// Returns the CPU time of a process, in user mode and in the kernel.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = read(pid, "stat")?;
    // The second field is the program's name in parentheses, and may contain any character.
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    let mut times = fields.into_iter().flat_map(str::split_whitespace).skip(11);
    let mut ticks = || -> Option<u32> { times.next()?.parse().ok() };
    let (user, system) = ticks()
        .zip(ticks())
        .with_context(|| format!("/proc/{pid}/stat has no CPU times"))?;
    Ok(TICK * (user + system))
}

/// Returns the resident memory of a process, in bytes, without that of files: the kernel drops pages of the program
/// when they are idle, and reads them again when they are used.
pub fn resident_memory(pid: u32) -> Result<u64> {
    let status = read(pid, "status")?;
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|size| size.trim().strip_suffix(" kB")?.parse().ok())
        .with_context(|| format!("/proc/{pid}/status has no RssAnon"))?;
    Ok(kilobytes * 1024)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_usage_of_this_process() {
        let own = std::process::id();
        assert!(cpu_time(own).unwrap() < Duration::from_secs(3600));
        assert!(resident_memory(own).unwrap() > 100_000);
    }

    #[test]
    fn fails_if_the_process_does_not_exist() {
        let error = cpu_time(u32::MAX).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /proc/4294967295/stat");
    }
}
