//! What a process has cost, from /proc.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// Linux tells times to programs in hundredths of a second, whatever it counts in itself.
const TICK: Duration = Duration::from_millis(10);

/// The processor time that a process has used, its own and the kernel's on its behalf.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = read(pid, "stat")?;
    // The second field is the program's name in parentheses, which may hold anything.
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    let mut times = fields.into_iter().flat_map(str::split_whitespace).skip(11);
    let mut ticks = || -> Option<u32> { times.next()?.parse().ok() };
    let (user, system) = ticks()
        .zip(ticks())
        .with_context(|| format!("/proc/{pid}/stat is not as expected"))?;
    Ok(TICK * (user + system))
}

/// The memory that a process holds, in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    let status = read(pid, "status")?;
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|size| size.trim().strip_suffix(" kB")?.parse().ok())
        .with_context(|| format!("/proc/{pid}/status is not as expected"))?;
    Ok(kilobytes * 1024)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_this_process() {
        let own = std::process::id();
        assert!(cpu(own).unwrap() < Duration::from_secs(3600));
        assert!(resident(own).unwrap() > 100_000);
    }

    #[test]
    fn tells_that_there_is_no_such_process() {
        let error = cpu(u32::MAX).unwrap_err();
        assert_eq!(error.to_string(), "/proc/4294967295/stat cannot be read");
    }
}
