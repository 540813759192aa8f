<?php

declare(strict_types=1);

namespace Snug\Laravel\Console;

/**
 * The file `.env` of an application.
 *
 * @internal
 */
final class EnvironmentFile
{
    private string $text;

    public function __construct(private string $path)
    {
        $this->text = is_file($path) ? (string) file_get_contents($path) : '';
    }

    /** Returns true if the file sets the variable to something. */
    public function has(string $name): bool
    {
        return preg_match("/^$name=\h*[^\s]/m", $this->text) === 1;
    }

    /** Sets a variable to a text: in its line, or in a new one at the end. */
    public function set(string $name, string $value): void
    {
        $this->setRaw($name, match (true) {
            preg_match('/^[\w.:\/+=@~-]*$/D', $value) === 1 => $value,
            !str_contains($value, "'") => "'$value'",
            default => '"' . addcslashes($value, '"\\$') . '"',
        });
    }

    /** Sets a variable to the value of another one. */
    public function setReference(string $name, string $other): void
    {
        $this->setRaw($name, "\"\${{$other}}\"");
    }

    public function save(): void
    {
        file_put_contents($this->path, $this->text);
    }

    private function setRaw(string $name, string $value): void
    {
        $line = static fn (): string => "$name=$value";
        $text = (string) preg_replace_callback("/^$name=.*$/m", $line, $this->text, 1, $count);
        if ($count === 0) {
            $text = rtrim($text, "\n") . ($text === '' ? '' : "\n") . "$name=$value\n";
        }
        $this->text = $text;
    }
}
