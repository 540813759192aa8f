<?php

declare(strict_types=1);

namespace App\Providers;

use Illuminate\Support\Facades\Blade;
use Illuminate\Support\ServiceProvider;

/** Adds Blade's directive `@vite`, which Laravel has since 9.19, for one script and what `npm run build` made of it. */
final class ViteServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        Blade::directive('vite', static fn (string $script): string => "<?php echo " . self::class . "::tag($script); ?>");
    }

    /** Returns the element that loads a script. */
    public static function tag(string $script): string
    {
        $manifest = json_decode((string) file_get_contents(public_path('build/manifest.json')), true);
        return '<script type="module" src="' . e(asset("build/{$manifest[$script]['file']}")) . '"></script>';
    }
}
