<?php

declare(strict_types=1);

namespace Snug\Laravel\Console;

use Illuminate\Console\Command;
use Illuminate\Contracts\Config\Repository;

/** `php artisan snug:install`: writes the settings and the page's Echo, and checks them. */
final class InstallCommand extends Command
{
    protected $signature = 'snug:install
        {--url= : The address of the Worker, such as https://chat.example.com}
        {--secret= : The JWT_SECRET of the Worker}
        {--webhook-secret= : The WEBHOOK_SECRET of the Worker, if it sends webhooks}
        {--force : Replace resources/js/echo.js and config/snug.php}';

    protected $description = 'Install Snug: .env, config/snug.php and resources/js/echo.js; then check that it works';

    public function handle(Repository $config): int
    {
        $this->writeEnvironment($config);
        $this->call('vendor:publish', ['--tag' => 'snug-config', '--force' => $this->option('force')]);
        $this->writeEcho();
        $this->line('');
        $isWorking = $this->call('snug:check') === self::SUCCESS;
        $this->line('');
        $this->line('Install the client of your pages, and load resources/js/echo.js from your script:');
        $this->line('  npm install laravel-echo snug-client');
        if (!$isWorking) {
            $this->line('Run `php artisan snug:check` again when you have corrected the lines with ✗.');
        }
        return $isWorking ? self::SUCCESS : self::FAILURE;
    }

    private function writeEnvironment(Repository $config): void
    {
        $file = new EnvironmentFile($this->laravel->environmentFilePath());
        $settings = [
            'SNUG_URL' => ['snug.url', 'url', 'Address of the Worker', false],
            'SNUG_JWT_SECRET' => ['snug.jwt.secret', 'secret', 'JWT_SECRET of the Worker', true],
            'SNUG_WEBHOOK_SECRET' => ['snug.webhook.secret', 'webhook-secret', null, true],
        ];
        foreach ($settings as $variable => [$setting, $option, $question, $isSecret]) {
            $value = $this->option($option);
            if ($value === null && $question !== null && !$file->has($variable) && $this->input->isInteractive()) {
                $value = $isSecret ? $this->secret($question) : $this->ask($question);
            }
            if ($value !== null && $value !== '') {
                $file->set($variable, (string) $value);
                // The configuration was read before.
                $config->set($setting, (string) $value);
            }
        }
        $file->set(BroadcastVariable::name(), 'snug');
        $config->set('broadcasting.default', 'snug');
        if (!$file->has('VITE_SNUG_URL')) {
            $file->setReference('VITE_SNUG_URL', 'SNUG_URL');
        }
        $file->save();
        $this->info('Written: ' . $this->laravel->environmentFile());
    }

    private function writeEcho(): void
    {
        $path = $this->laravel->resourcePath('js/echo.js');
        if (is_file($path) && !$this->option('force')) {
            $this->line('Kept: resources/js/echo.js (use --force to replace it)');
            return;
        }
        if (!is_dir(dirname($path))) {
            mkdir(dirname($path), 0755, true);
        }
        copy(__DIR__ . '/../../stubs/echo.js', $path);
        $this->info('Written: resources/js/echo.js');
    }
}
